package main

import (
	"context"
	"net/http"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossfade-project/crossfade/internal/kube"
)

// cmdVisit lets a user ask every pod of the script's namespace once, on one side: visit BLUE.
func cmdVisit(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kube.Connect(kube.Options{Kubeconfig: ts.Getenv(args[0])})
	ts.Check(err)
	pods, err := client.Typed.CoreV1().Pods(ts.Getenv("NS")).List(ctx, metav1.ListOptions{})
	ts.Check(err)
	if len(pods.Items) == 0 {
		ts.Fatalf("there is no pod to be asked")
	}
	for _, pod := range pods.Items {
		status, _, _, err := client.PodRequest(ctx, kube.PodRequest{Namespace: pod.Namespace, Pod: pod.Name, Port: 8080, Method: http.MethodGet, Path: "/page"})
		ts.Check(err)
		if status != http.StatusOK {
			ts.Fatalf("pod %s answers %d", pod.Name, status)
		}
	}
}
