package nodeflows_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/nodeflows"
)

func flow(port uint16, state string) nodeflows.Flow {
	return nodeflows.Flow{
		Protocol: "tcp", Source: netip.MustParseAddr("198.51.100.7"), SourcePort: port,
		Destination: netip.MustParseAddr("192.0.2.1"), DestinationPort: 80,
		Backend: netip.MustParseAddr("10.1.0.5"), BackendPort: 8080, State: state,
	}
}

func TestWatchKeepsFlowsThatEndedBetweenLooks(t *testing.T) {
	looks := [][]nodeflows.Flow{
		{flow(1000, "ESTABLISHED")},
		{flow(1000, "TIME_WAIT"), flow(1001, "CLOSE")},
		{flow(1000, "TIME_WAIT")},
		{},
	}
	n := 0
	var out bytes.Buffer
	err := nodeflows.Print(t.Context(), &out, nodeflows.Options{
		Node: "node-1", For: 3 * time.Second, Clock: clock.NewFake(time.Unix(1000, 0)),
		Read: func() ([]nodeflows.Flow, error) { n++; return looks[n-1], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := nodeflows.Parse(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if report.Looks != 4 || report.Count != 2 || report.Node != "node-1" {
		t.Errorf("report = %+v, want 4 looks, 2 flows on node-1", report)
	}
	if report.Flows[0] != flow(1000, "TIME_WAIT") || report.Flows[1] != flow(1001, "CLOSE") {
		t.Errorf("flows = %+v", report.Flows)
	}
}

func TestI08_CutLogIsNoEvidence(t *testing.T) {
	var out bytes.Buffer
	err := nodeflows.Print(t.Context(), &out, nodeflows.Options{
		Read: func() ([]nodeflows.Flow, error) {
			return []nodeflows.Flow{flow(1000, "ESTABLISHED"), flow(1001, "ESTABLISHED")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(out.String(), "\n")
	for name, text := range map[string]string{
		"nothing":         "",
		"without its end": lines[0] + lines[1],
		"without a start": lines[1] + lines[2],
		"half a line":     out.String()[:len(lines[0])+10],
	} {
		if _, err := nodeflows.Parse([]byte(text)); !errors.Is(err, nodeflows.ErrIncomplete) {
			t.Errorf("Parse of a log %s: err = %v, want ErrIncomplete", name, err)
		}
	}
}

// FuzzParse: whatever a log holds, Parse returns an error or a report whose count is the number of its flows.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format":1,"count":0}`))
	f.Add([]byte(`{"protocol":"tcp","source":"1.2.3.4","destination":"::1","backend":"::2"}` + "\n" + `{"format":1,"count":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		report, err := nodeflows.Parse(raw)
		if err == nil && len(report.Flows) != report.Count {
			t.Fatalf("%d flows, count %d", len(report.Flows), report.Count)
		}
	})
}
