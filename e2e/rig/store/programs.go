package store

import (
	"context"

	"github.com/crossfade-project/crossfade/e2e/rig/install"
)

// program is how one store is installed and started.
type program struct {
	install      func(context.Context, *install.Installer) ([]string, error)
	configure    func(s *Server, at place) (args, env []string)
	health       string
	healthStatus int // 0 takes any answer
}

// place is where a store listens and where its data lies.
type place struct{ host, port, data string }

func programs() map[Kind]program {
	return map[Kind]program{
		VersityGW: {
			install: goProgram("github.com/versity/versitygw/cmd/versitygw@v1.8.0"),
			configure: func(s *Server, at place) ([]string, []string) {
				return []string{"--port", at.host + ":" + at.port, "--region", s.Region, "--quiet", "--keep-alive", "posix", at.data},
					[]string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
			},
		},
		MinIO: {
			install: goProgram("github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"),
			configure: func(s *Server, at place) ([]string, []string) {
				return []string{"server", "--quiet", "--address", at.host + ":" + at.port, at.data}, []string{
					"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey, "MINIO_REGION=" + s.Region,
					"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_SCANNER_SPEED=slowest",
				}
			},
			health: "/minio/health/cluster", healthStatus: 200, // the others answer 200 before the server takes requests
		},
		Azurite: {
			install: func(ctx context.Context, in *install.Installer) ([]string, error) {
				return in.NPM(ctx, "azurite@3.37.0", "azurite-blob")
			},
			configure: func(s *Server, at place) ([]string, []string) {
				return []string{
					"--blobHost", at.host, "--blobPort", at.port, "--location", at.data,
					"--skipApiVersionCheck", "--disableTelemetry", "--silent",
				}, []string{"AZURITE_ACCOUNTS=" + s.AccessKey + ":" + s.SecretKey}
			},
		},
		FakeGCS: {
			install: goProgram("github.com/fsouza/fake-gcs-server@v1.56.1"),
			configure: func(_ *Server, at place) ([]string, []string) {
				return []string{
					"-scheme", "http", "-host", at.host, "-port", at.port, "-public-host", at.host + ":" + at.port,
					"-external-url", "http://" + at.host + ":" + at.port, "-backend", "memory", "-log-level", "warn",
				}, nil
			},
			health: "/_internal/healthcheck", healthStatus: 200,
		},
	}
}

func goProgram(name string) func(context.Context, *install.Installer) ([]string, error) {
	return func(ctx context.Context, in *install.Installer) ([]string, error) {
		path, err := in.GoProgram(ctx, name)
		return []string{path}, err
	}
}
