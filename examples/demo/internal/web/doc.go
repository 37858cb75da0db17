// Package web is what the demo's web applications have in common, and what a
// migration asks of an application that it moves: to say which side it is, to
// count its real requests, and to let its clients go in good order.
//
//	request ── count? ── Connection: close when drained ── X-Side ── application
//	             |
//	   GET  /healthz        is the process up
//	   GET  /requests       real requests so far, over all replicas
//	   POST /admin/drain    from now on each answer asks its client to connect again
//	   POST /admin/undrain
//	   POST /admin/break    from now on users and checks get a 500, for rehearsals
//	   POST /admin/mend
//
// A load balancer hands a request to one replica, but draining, freezing and
// counting are about all of them. The replica that is asked asks the others
// ([Peers]); where one of them does not answer, the whole answer is an error:
// a freeze that one replica missed is no freeze, and a count without one replica
// is no proof that nobody calls.
package web
