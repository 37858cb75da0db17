// Package netns makes the rig's own little internet: one bridge, and network namespaces that hang on it, each as if
// it were a host of its own.
//
//	machine (10.213.7.1) --- bridge cf7 ---+--- namespace cf7-blue   10.213.7.2
//	                                       +--- namespace cf7-green  10.213.7.3
//	                                       +--- namespace cf7-names  10.213.7.4 ...
//
// No namespace has a default route, so nothing in the rig can send a packet beyond it.
//
// Several runs may exist at once: each takes a number of its own (here 7), and has it as soon as it has created the
// bridge of that name, which the kernel lets only one do.
package netns
