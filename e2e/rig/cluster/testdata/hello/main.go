// Hello answers every request, for tests of the rig.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello from", host)
		fmt.Println("served", r.URL.Path)
	}
	if err := http.ListenAndServe(":8080", http.HandlerFunc(handler)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
