package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/test"
)

// serve answers ADS on an address of this machine until its standard input ends. A line on standard input has the folder
// read again; "serving", "loaded <n>" or "refused <why>" on standard output says what came of it.
func serve(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: istio-rig serve <address> <folder>")
	}
	address, folder := args[0], args[1]
	configs, err := read(folder)
	if err != nil {
		return err
	}
	return test.Wrap(func(t test.Failer) {
		server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
			Configs:         configs,
			MeshConfig:      meshOptions(),
			ListenerBuilder: func() (net.Listener, error) { return net.Listen("tcp", address) },
		})
		fmt.Printf("serving %d\n", len(configs))
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			next, err := read(folder)
			if err == nil {
				err = replace(server.Store(), configs, next)
			}
			if err != nil {
				fmt.Printf("refused %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
				continue
			}
			configs = next
			fmt.Printf("loaded %d\n", len(configs))
		}
	})
}

// meshOptions turns off what a stock Envoy without istio-agent beside it cannot do: certificates.
func meshOptions() *meshconfig.MeshConfig {
	m := mesh.DefaultMeshConfig()
	m.EnableAutoMtls = wrapperspb.Bool(false)
	m.OutboundTrafficPolicy = &meshconfig.MeshConfig_OutboundTrafficPolicy{
		Mode: meshconfig.MeshConfig_OutboundTrafficPolicy_REGISTRY_ONLY,
	}
	return m
}

// read parses and validates every resource below a folder as Istio's webhook would.
func read(folder string) ([]config.Config, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	var all []config.Config
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		configs, unknown, err := crd.ParseInputs(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if len(unknown) > 0 {
			return nil, fmt.Errorf("%s: not a kind of Istio's: %s", path, unknown[0].Kind)
		}
		all = append(all, configs...)
	}
	return all, nil
}

func keyOf(c config.Config) string {
	return c.GroupVersionKind.String() + "/" + c.Namespace + "/" + c.Name
}

// replace brings a store from one set of resources to another, touching only what differs: first what is new or changed,
// then what is gone.
func replace(store model.ConfigStoreController, before, after []config.Config) error {
	old := map[string]config.Config{}
	for _, c := range before {
		old[keyOf(c)] = c
	}
	for _, c := range after {
		was, known := old[keyOf(c)]
		delete(old, keyOf(c))
		if known && same(was, c) {
			continue
		}
		var err error
		if known {
			c.ResourceVersion = store.Get(c.GroupVersionKind, c.Name, c.Namespace).ResourceVersion
			_, err = store.Update(c)
		} else {
			_, err = store.Create(c)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range old {
		if err := store.Delete(c.GroupVersionKind, c.Name, c.Namespace, nil); err != nil {
			return err
		}
	}
	return nil
}

func same(a, b config.Config) bool {
	x, isProto := a.Spec.(proto.Message)
	y, alsoProto := b.Spec.(proto.Message)
	if isProto && alsoProto {
		return proto.Equal(x, y) && reflect.DeepEqual(a.Labels, b.Labels)
	}
	return false
}
