// Package process runs the rig's children: each with a log file, its end observed, and bound to the life of this
// process.
//
// A child is started on a thread that waits for it and does nothing else. On Linux the kernel kills a child when that
// thread ends (PR_SET_PDEATHSIG), so that a killed rig leaves none behind; and where the child belongs into a network
// or mount namespace, the thread enters it first, so that no other program is needed for that.
//
// A program that Debian confines with an AppArmor profile is run from a copy, which has none: in its profile it could
// read and write only in the folders of the machine's own service.
package process
