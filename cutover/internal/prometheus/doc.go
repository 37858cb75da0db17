// Package prometheus asks a Prometheus, or what has its API. It knows what an answer is, and nothing of what is judged by it.
//
//	Server ── Number   one number, at the server's time            instant query, at most 1 MiB
//	       |  Range    all points of all series between two times   in as many answers as it takes, at most 64 MiB each
//	       |
//	       |    the server did not take the question                → *ServerError: look at the server
//	       |    the query is wrong as it stands                     → *QueryError: asking again is of no use
//	       |    no data, NaN, or a part only                        → wraps ErrNoNumber: nothing was learned
//	       |    nobody answers                                      → any other error
//
// Redirects are not followed: they lead to logins. Facts are those of Prometheus's documentation, "HTTP API".
package prometheus
