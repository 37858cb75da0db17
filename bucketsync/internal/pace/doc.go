// Package pace finds out how many objects are best under way at once, by trying, and holds writes to the rate at which a store wants
// them to begin.
//
//	measure for a while ── more throughput than with fewer? ──yes──> try more
//	                                   └─no──> back to the fewer that did as well, and stay there; now and then try again
//	the store asks to slow down ──> half as many, and for a while no more than that
//
// The controller is pure: it is told what was done by when and says how many. It needs no measure of latency of its own: where more
// objects under way only wait longer for each other, the throughput does not grow, and it goes back.
package pace
