package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DefaultDir is the state folder where none is named.
const DefaultDir = ".rig"

// The files of a state folder.
const (
	infoFile   = "rig.json"
	recordFile = "record.jsonl"
	lockFile   = "lock"
	logFile    = "rig.log"
)

// ErrRunning says that a rig runs in the state folder.
var ErrRunning = errors.New("a rig runs here")

// ErrNone says that no rig is up in the state folder.
var ErrNone = errors.New("no rig is up here")

// Info is what other programs need to use a rig that is up. It is written last, so that a rig with an Info is whole.
type Info struct {
	PID    int    `json:"pid"`
	Subnet string `json:"subnet"`
	// Host is the machine's own address in the subnet.
	Host  string     `json:"host"`
	Sides []SideInfo `json:"sides"`
	// Resolver is the name server that clients ask. Primary takes updates and Secondary follows it; host:port.
	Resolver  string `json:"resolver"`
	Primary   string `json:"primary"`
	Secondary string `json:"secondary"`
	// S3 is the URL of blue's object store, Azure that of green's. Keys is the folder with the secrets of all.
	S3    string `json:"s3"`
	Azure string `json:"azure"`
	Keys  string `json:"keys"`
}

// SideInfo is one cluster.
type SideInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Node    string `json:"node"`
	Space   string `json:"space"` // its network namespace
	// Kubeconfig is an administrator's. Operator is one of a user who may do nothing until Grant, or somebody else, gives him roles.
	Kubeconfig string `json:"kubeconfig"`
	Operator   string `json:"operator"`
	Kubectl    string `json:"kubectl"`
	Logs       string `json:"logs"`
}

// Side returns the cluster of that name, which is blue or green.
func (i *Info) Side(name string) *SideInfo {
	for k := range i.Sides {
		if i.Sides[k].Name == name {
			return &i.Sides[k]
		}
	}
	return &SideInfo{Name: name}
}

// ReadInfo reads the Info of the rig in a state folder. Without one the error is ErrNone.
func ReadInfo(dir string) (*Info, error) {
	content, err := os.ReadFile(filepath.Join(dir, infoFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read state folder %s: %w", dir, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("read state folder: %w", err)
	}
	var info Info
	if err := json.Unmarshal(content, &info); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, infoFile), err)
	}
	return &info, nil
}

// usualSubnet is the beginning of every address of the first rig on a machine. Examples and guides use it.
const usualSubnet = "10.213.0."

// Localize turns text that was written for the first rig on a machine, such as the demo's migration file, into text for
// this one, which has another subnet if it is not the first.
func (i *Info) Localize(text string) string {
	return strings.ReplaceAll(text, usualSubnet, i.Host[:strings.LastIndexByte(i.Host, '.')+1])
}

// Text is the Info for people.
func (i *Info) Text() string {
	var text strings.Builder
	fmt.Fprintf(&text, "rig in %s, process %d\n", i.Subnet, i.PID)
	for _, side := range i.Sides {
		fmt.Fprintf(&text, "%-6s Kubernetes %s at %s\n       administrator: %s --kubeconfig %s get pods -A\n       operator, without rights yet: %s\n",
			side.Name, side.Version, side.Node, side.Kubectl, side.Kubeconfig, side.Operator)
	}
	fmt.Fprintf(&text, "names  resolver %s, primary of apps.test %s\n", i.Resolver, i.Primary)
	fmt.Fprintf(&text, "stores S3 %s, Azure %s, keys in %s\n", i.S3, i.Azure, i.Keys)
	return text.String()
}

func (i *Info) write(file string) error {
	content, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.WriteFile(file+".part", append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(file+".part", file)
}
