// Package transaction carries out the contract of package zone at a provider whose API takes several removals and additions
// as one change, all of them or none, and refuses the whole where a removal is not exactly what is there. The drivers of such
// providers are only their API; what is expected, what is in the way and what became of a change is judged here.
//
//	read the name and the fence -> holds New -> done, nothing sent
//	                            -> holds Old -> one change:  remove every old set and the fence, exactly as they were read,
//	                                  |                      add every new set, and the fence with our token again
//	                                  |-> accepted       -> wait until the provider's servers have it -> read -> done
//	                                  |-> refused        -> read -> ErrMoved, ErrConflict, ErrFenced; as expected -> again
//	                                  |-> no answer      -> read -> New -> done (Recovered); Old -> again
//	                            -> else      -> ErrMoved, ErrConflict or ErrFenced
//
// The fence is written with another TTL each time. So the fence's part of the change is a true change, whatever the provider
// makes of one that replaces a set by its equal; and a change that went astray and arrives after a later one is refused.
package transaction
