//go:build tools

// Package programs pins the etcd that the rig builds and runs.
package programs

import _ "go.etcd.io/etcd/server/v3"
