package web

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// account writes what Kubernetes mounts into a pod.
func account(t *testing.T, ca []byte) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string][]byte{"token": []byte("secret-token\n"), "ca.crt": ca} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func authority(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestOthersAreAllThatMayStillServe(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/demo/pods" || r.URL.Query().Get("labelSelector") != "app=shop" ||
			r.Header.Get("Authorization") != "Bearer secret-token" {
			t.Errorf("asked for %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		_, _ = w.Write([]byte(`{"items":[
			{"status":{"phase":"Running","podIP":"10.1.0.2"}},
			{"status":{"phase":"Running","podIP":"10.1.0.3"}},
			{"metadata":{"deletionTimestamp":"2026-11-21T13:45:00Z"},"status":{"phase":"Running","podIP":"10.1.0.4"}},
			{"status":{"phase":"Pending"}},
			{"status":{"phase":"Failed","podIP":"10.1.0.5"}},
			{"status":{"phase":"Running","podIP":"fd00::6"}}]}`))
	}))
	defer server.Close()
	peers := &KubePeers{api: server.URL, folder: account(t, authority(server)), namespace: "demo", selector: "app=shop", self: "10.1.0.2", port: "8080"}
	others, err := peers.Others(t.Context())
	want := []string{"http://10.1.0.3:8080", "http://10.1.0.4:8080", "http://[fd00::6]:8080"}
	if err != nil || !slices.Equal(others, want) {
		t.Errorf("Others = %v, %v; want %v", others, err, want)
	}
}

func TestI08_OthersAreNotKnownWhenTheAnswerIsNoList(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "pods is forbidden", http.StatusForbidden)
	}))
	defer server.Close()
	for _, tt := range []struct {
		name, want string
		ca         []byte
	}{
		{"forbidden", "pods is forbidden", authority(server)},
		{"no CA", "--root-ca-file", nil},
	} {
		peers := &KubePeers{api: server.URL, folder: account(t, tt.ca), namespace: "demo", selector: "app=shop"}
		if others, err := peers.Others(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Others = %v, %v; want an error with %q", tt.name, others, err, tt.want)
		}
	}
}

func TestPeersFromEnvNeedsAllOrNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		env   map[string]string
		known bool
		fails bool
	}{
		{name: "one replica", env: nil},
		{name: "all", env: map[string]string{"PEERS_SELECTOR": "app=shop", "POD_NAMESPACE": "demo", "POD_IP": "10.1.0.2", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}, known: true},
		{name: "no address", env: map[string]string{"PEERS_SELECTOR": "app=shop", "POD_NAMESPACE": "demo", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, fails: true},
	} {
		peers, err := PeersFromEnv(func(key string) string { return tt.env[key] })
		if (peers != nil) != tt.known || (err != nil) != tt.fails {
			t.Errorf("%s: PeersFromEnv = %v, %v", tt.name, peers, err)
		}
	}
}
