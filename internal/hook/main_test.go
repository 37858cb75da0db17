package hook_test

import (
	"os"
	"testing"

	"github.com/crossfade-project/crossfade/e2e/rig/cluster"
	"github.com/crossfade-project/crossfade/internal/kube/kubetest"
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, cluster.LightOptions{Name: "hook"}))
}
