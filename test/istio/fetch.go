package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"istio.io/istio/pkg/wasm"
)

// fetch puts the only image of an OCI layout into a registry on loopback and gets it from there by istio-agent's own fetcher.
func fetch(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: istio-rig fetch <folder of an OCI layout>")
	}
	index, err := layout.ImageIndexFromPath(args[0])
	if err != nil {
		return err
	}
	if err := validate.Index(index); err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) != 1 {
		return fmt.Errorf("%d images in the layout instead of one", len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return err
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	where, err := url.Parse(server.URL)
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(where.Host+"/causeway:test", name.Insecure)
	if err != nil {
		return err
	}
	if err := remote.Write(reference, image); err != nil {
		return err
	}
	fetcher := wasm.NewImageFetcher(context.Background(), wasm.ImageFetcherOption{Insecure: true})
	get, digest, err := fetcher.PrepareFetch(reference.Name())
	if err != nil {
		return err
	}
	module, err := get()
	if err != nil {
		return err
	}
	fmt.Printf("{\"manifest\":%q,\"module\":\"%x\",\"bytes\":%d}\n", digest, sha256.Sum256(module), len(module))
	return nil
}
