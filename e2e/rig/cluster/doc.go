// Package cluster runs real Kubernetes clusters on this machine, in two sizes.
//
// Light is etcd and kube-apiserver on loopback, ready in a few seconds: enough wherever a test needs the real API but
// no pod.
//
// Start is a whole cluster of one node with real pods, in a network namespace of its own:
//
//	keys and certificates
//	  -> etcd, kube-apiserver        containerd <- images from tars, no registry
//	        | ready                      |
//	        +-> controllers, scheduler, kubelet, kube-proxy -> node ready
//
// Each full cluster also has a mount namespace of its own, with its own /run, /var/lib, /var/log and resolv.conf: kubelet
// and containerd have paths there that no flag moves, two kubelets would remove each other's logs of pods, and all
// mounts vanish with the namespace, so that none is left on the machine. The kernel settings that a kubelet changes
// on its host are files of the cluster's own in there.
//
// Everything in a cluster is thrown away with it. So Stop kills the parts instead of asking them to end, the kubelet
// first since it would start again what ends, the API server before etcd since it hangs without it.
package cluster
