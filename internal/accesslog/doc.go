// Package accesslog reads the lines that ingress controllers write of the requests that they serve.
//
//	line ── Parse ──> Entry     who asked, when, under which name, and whom it was passed to
//	            ├──> ErrOther   a line that the controller writes of itself
//	            └──> an error   a line that nobody can read: of such a log it is not known whether anybody asks
//
// The shapes are those that the controllers document: "Log format" of ingress-nginx, "Default Format String" of Envoy's access
// logging, "Access Logs" of Traefik (common and JSON), and JSON lines whose fields the user names.
package accesslog
