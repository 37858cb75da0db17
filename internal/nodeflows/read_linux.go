package nodeflows

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Read lists the flows of this machine's network namespace, IPv4 and IPv6. It needs CAP_NET_ADMIN.
func Read() ([]Flow, error) {
	var flows []Flow
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		list, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
		if err != nil {
			return nil, fmt.Errorf("list connection tracking (it needs CAP_NET_ADMIN and the kernel's nf_conntrack): %w", err)
		}
		for _, f := range list {
			flow, ok := fromKernel(f)
			if ok {
				flows = append(flows, flow)
			}
		}
	}
	return flows, nil
}

func fromKernel(f *netlink.ConntrackFlow) (Flow, bool) {
	source, ok1 := address(f.Forward.SrcIP)
	destination, ok2 := address(f.Forward.DstIP)
	backend, ok3 := address(f.Reverse.SrcIP)
	if !ok1 || !ok2 || !ok3 {
		return Flow{}, false
	}
	flow := Flow{
		Protocol:        protocol(f.Forward.Protocol),
		Source:          source,
		SourcePort:      f.Forward.SrcPort,
		Destination:     destination,
		DestinationPort: f.Forward.DstPort,
		Backend:         backend,
		BackendPort:     f.Reverse.SrcPort,
	}
	if tcp, ok := f.ProtoInfo.(*netlink.ProtoInfoTCP); ok {
		flow.State = tcpState(tcp.State)
	}
	if f.TimeStart > 0 {
		flow.TimeStart = time.Unix(0, int64(f.TimeStart)).UTC()
	}
	return flow, true
}

func address(ip net.IP) (netip.Addr, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

func protocol(number uint8) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "icmpv6"
	}
	return strconv.Itoa(int(number))
}

// tcpState names the states of enum tcp_conntrack in Linux's include/uapi/linux/netfilter/nf_conntrack_tcp.h.
func tcpState(state uint8) string {
	names := [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}
	if int(state) < len(names) {
		return names[state]
	}
	return strconv.Itoa(int(state))
}
