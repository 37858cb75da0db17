// Hello answers every request, for tests of the rig; /lookup/NAME with the name's addresses.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/lookup/"); ok {
			addresses, err := net.DefaultResolver.LookupHost(r.Context(), name)
			fmt.Fprintln(w, addresses, err)
			return
		}
		fmt.Fprintln(w, "hello from", host)
		fmt.Println("served", r.URL.Path)
	}
	if err := http.ListenAndServe(":8080", http.HandlerFunc(handler)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
