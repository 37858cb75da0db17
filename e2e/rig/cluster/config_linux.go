package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/crossfade-project/crossfade/e2e/rig/image"
)

// socket is containerd's, in the room's own /run.
const socket = "/run/containerd/containerd.sock"

func (n *node) writeConfigs() error {
	kubelet, err := n.kubeletConfig()
	if err != nil {
		return err
	}
	cni, err := n.cniConfig()
	if err != nil {
		return err
	}
	resolver := "# no name server\n"
	if n.o.Resolver.IsValid() {
		resolver = "nameserver " + n.o.Resolver.String() + "\noptions timeout:2 attempts:2\n"
	}
	for name, content := range map[string]string{
		"resolv.conf":         resolver,
		"containerd.toml":     n.containerdConfig(),
		"kubelet.yaml":        kubelet,
		"cni/10-rig.conflist": cni,
	} {
		if err := os.WriteFile(n.file(name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
	}
	return nil
}

// snapshotter is how containerd keeps images' files: as overlays, except where the state itself lies on one, which
// the kernel does not stack.
func (n *node) snapshotter() string {
	var fs unix.Statfs_t
	if unix.Statfs(n.o.Dir, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

// containerdConfig is understood by containerd 1.6 and later. restrict_oom_score_adj is for machines without
// CAP_SYS_RESOURCE, where runc fails otherwise and does not say why. With AppArmor, a profile would stay in the kernel.
func (n *node) containerdConfig() string {
	return strings.NewReplacer(
		"ROOT", n.file("containerd"), "OPT", n.file("opt"), "CNI", n.file("cni"), "SOCKET", socket,
		"PAUSE", image.Pause, "SNAPSHOTTER", n.snapshotter(), "PLUGINS", cniPlugins(),
	).Replace(`version = 2
root = "ROOT"
state = "/run/containerd"
[grpc]
address = "SOCKET"
[plugins."io.containerd.internal.v1.opt"]
path = "OPT"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "PAUSE"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "PLUGINS"
conf_dir = "CNI"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "SNAPSHOTTER"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
`)
}

// cniPlugins is where Debian's containernetworking-plugins lie, or other distributions' own.
func cniPlugins() string {
	if _, err := os.Stat("/usr/lib/cni/bridge"); err != nil {
		return "/opt/cni/bin"
	}
	return "/usr/lib/cni"
}

// cniConfig gives each pod an address of the pods' subnet on a bridge inside the namespace.
func (n *node) cniConfig() (string, error) {
	type object = map[string]any
	content, err := json.Marshal(object{
		"cniVersion": "0.4.0", "name": "rig",
		"plugins": []object{
			{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
				"ipam": object{
					"type": "host-local", "dataDir": n.file("ipam"),
					"ranges": [][]object{{{"subnet": n.o.Pods.String()}}},
					"routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	})
	if err != nil {
		return "", fmt.Errorf("write CNI configuration: %w", err)
	}
	return string(content), nil
}

// kubeletConfig keeps the kubelet from changing or removing what belongs to the machine: no groups of its own making
// above the pods', no removal of images, no eviction by the machine's disk.
func (n *node) kubeletConfig() (string, error) {
	type object = map[string]any
	config := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"containerRuntimeEndpoint": "unix://" + socket,
		"cgroupDriver":             "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": []string{},
		"failSwapOn":                  false,
		"evictionHard":                object{"nodefs.available": "0%", "imagefs.available": "0%"},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"resolvConf":      n.file("resolv.conf"),
		"volumePluginDir": n.file("volumeplugins"),
		"tlsCertFile":     n.keys.path("kubelet.crt"), "tlsPrivateKeyFile": n.keys.path("kubelet.key"),
		"authentication": object{
			"anonymous": object{"enabled": false}, "webhook": object{"enabled": false},
			"x509": object{"clientCAFile": n.keys.path("ca.crt")},
		},
		// Only certificates of this cluster's own authority are let in at all.
		"authorization":             object{"mode": "AlwaysAllow"},
		"nodeStatusUpdateFrequency": "2s",
	}
	if minorOf(n.cluster.Version) >= 31 {
		config["failCgroupV1"] = false // older kubelets refuse the field
	}
	content, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("write the kubelet's configuration: %w", err)
	}
	return string(content), nil
}

// minorOf reads 36 out of v1.36.3.
func minorOf(version string) int {
	var minor int
	if _, err := fmt.Sscanf(version, "v1.%d.", &minor); err != nil {
		return 0
	}
	return minor
}
