// Package protocol asks one address as a client of a hostname would, whatever the DNS says. It knows nothing of checks and of sides.
//
//	Target ── TCP             does it take a connection
//	       |  CertificateEnd  until when is its chain valid, for a client that trusts Roots
//	       |  Health          is a gRPC service SERVING
//	       |  Do              what does it answer to an HTTP request; a redirect is an answer
//	       |
//	       |    it has answered, and said no                        → Refused is true of the error
//	       |    it has answered, and nothing is learned of it       → *UnclearError
//	       |    nobody has answered                                 → any other error, ErrTimeUp among them
//
// That a side says no, and that nothing comes back at all, are two things: the second may be the way's fault.
package protocol
