// Command istio-rig is what the tests need of Istio, in one program that is built once:
//
//	istio-rig serve <address> <folder>   Istio's own configuration generation for the resources in a folder, as ADS
//	istio-rig fetch <folder>             fetches an OCI image layout as istio-agent fetches a plugin; prints the module's sha256
//	istio-rig istioctl …                 istioctl
package main

import (
	"fmt"
	"os"

	istioctl "istio.io/istio/istioctl/cmd"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: istio-rig serve|fetch|istioctl …"))
	}
	var err error
	switch command, args := os.Args[1], os.Args[2:]; command {
	case "serve":
		err = serve(args)
	case "fetch":
		err = fetch(args)
	case "istioctl":
		err = istioctl.GetRootCmd(args).Execute()
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
