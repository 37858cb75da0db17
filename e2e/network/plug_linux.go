package network

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// plugged is how many connections are tried to fill a queue of length 0, of which the kernel keeps one or two.
const plugged = 4

// plug makes the kernel drop who knocks: the queue of connections that wait to be accepted gets the length 0 and is filled.
func (p *Proxy) plug() error {
	if err := p.queue(0); err != nil {
		return err
	}
	for range plugged {
		c, err := net.DialTimeout("tcp4", p.Addr(), 200*time.Millisecond)
		if err != nil {
			return nil // it is full
		}
		p.plugs = append(p.plugs, c)
	}
	return nil
}

func (p *Proxy) unplug() error {
	errs := []error{p.queue(syscall.SOMAXCONN)}
	for _, c := range p.plugs {
		errs = append(errs, c.Close())
	}
	p.plugs = nil
	return errors.Join(errs...)
}

func (p *Proxy) queue(length int) error {
	raw, err := p.listener.SyscallConn()
	if err != nil {
		return fmt.Errorf("change the queue of the proxy: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), length) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("change the queue of the proxy: %w", err)
	}
	return nil
}
