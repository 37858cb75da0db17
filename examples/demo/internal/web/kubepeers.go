package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// serviceAccount is where Kubernetes mounts a pod's own credentials.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// KubePeers finds the other replicas by asking the API server for the pods of
// one label. It needs leave to list pods in its namespace.
type KubePeers struct {
	api                 string // https://host:port
	folder              string // of token and ca.crt
	namespace, selector string
	self                string // this pod's address
	port                string
}

// PeersFromEnv returns the replicas that PEERS_SELECTOR (app=shop) chooses, in
// the namespace POD_NAMESPACE and without the pod whose address is POD_IP. Without
// PEERS_SELECTOR there are none, and it returns nil.
func PeersFromEnv(getenv func(string) string) (Peers, error) {
	selector := getenv("PEERS_SELECTOR")
	if selector == "" {
		return nil, nil
	}
	k := &KubePeers{
		api:       "https://" + net.JoinHostPort(getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")),
		folder:    serviceAccount,
		namespace: getenv("POD_NAMESPACE"),
		selector:  selector,
		self:      getenv("POD_IP"),
		port:      port(getenv),
	}
	if k.namespace == "" || k.self == "" || getenv("KUBERNETES_SERVICE_HOST") == "" {
		return nil, errors.New("PEERS_SELECTOR is set, so POD_NAMESPACE, POD_IP and KUBERNETES_SERVICE_HOST must be")
	}
	return k, nil
}

// podList is the part of a list of pods that is read here.
type podList struct {
	Items []struct {
		Status struct {
			Phase string `json:"phase"`
			PodIP string `json:"podIP"`
		} `json:"status"`
	} `json:"items"`
}

// Others implements [Peers]. Pods that are not ready, and those being deleted,
// count: they may still hold a connection. Pods that have ended, or have no
// address yet, do not.
func (k *KubePeers) Others(ctx context.Context) ([]string, error) {
	pods, err := k.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list pods %s in namespace %s: %w", k.selector, k.namespace, err)
	}
	var others []string
	for _, pod := range pods.Items {
		ended := pod.Status.Phase == "Succeeded" || pod.Status.Phase == "Failed"
		if ended || pod.Status.PodIP == "" || pod.Status.PodIP == k.self {
			continue
		}
		others = append(others, "http://"+net.JoinHostPort(pod.Status.PodIP, k.port))
	}
	return others, nil
}

func (k *KubePeers) list(ctx context.Context) (pods podList, err error) {
	client, err := k.client()
	if err != nil {
		return podList{}, err
	}
	defer client.CloseIdleConnections()
	// Read each time: the kubelet renews the token.
	token, err := os.ReadFile(filepath.Join(k.folder, "token"))
	if err != nil {
		return podList{}, fmt.Errorf("read the pod's token: %w", err)
	}
	address := k.api + "/api/v1/namespaces/" + url.PathEscape(k.namespace) + "/pods?labelSelector=" + url.QueryEscape(k.selector)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return podList{}, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := client.Do(request)
	if err != nil {
		return podList{}, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return podList{}, err
	}
	if response.StatusCode != http.StatusOK {
		return podList{}, fmt.Errorf("the API server answered %s: %.300s", response.Status, body)
	}
	if err := json.Unmarshal(body, &pods); err != nil {
		return podList{}, fmt.Errorf("read the API server's answer: %w", err)
	}
	return pods, nil
}

func (k *KubePeers) client() (*http.Client, error) {
	authority := filepath.Join(k.folder, "ca.crt")
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate; kube-controller-manager publishes it when it is started with --root-ca-file", authority)
	}
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}, nil
}
