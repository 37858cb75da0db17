// Package front puts pods of ours in front of Services of a cluster, and takes them away again. The pods pass connections on, or refuse
// them, and count who comes; they run internal/forwarder. It knows nothing of applications and of names.
//
//	Takeable ── why a Service cannot lead to pods of ours
//	  |
//	PlanSwitch ── Pods, Switch: both states of each Service, to be kept before anything is changed
//	  |
//	Raise         the pods are made, and ready                       one Deployment; an earlier one's pods are waited out
//	  |
//	Try           each sends requests of our own through itself      nobody is led to it yet
//	  |
//	Lead          a Service selects our pods in the place of its own  one update
//	  |             it selects its own  → ours;  it selects ours already → nothing;  else → *plan.MovedError
//	  |
//	WaitLed       the endpoints are written down, and nodes had time to follow
//	  |
//	InFront, Counts ── are they still in front, and who came
//	  |
//	Serve         the Services get their own back, are waited for, and then the pods go
//
// A Switch alone is enough to take itself back: what it has changed is as it was, byte for byte (I6), and what somebody has written since
// stays. Only a Deployment with the labels of the migration and of the component is ours (I3).
package front
