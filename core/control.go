package core

// EnvControl is the environment variable that tells a new process where its
// control socket is: "<protocol version>:<descriptor>:<process number of the
// old process>", and after it what else it was given, each as ":<key>=<number>".
// The listeners are the descriptors from 3 up to the control socket. It is removed
// before main runs, so that nothing this process starts sees it. A program that
// does not know it passes it on, descriptors and all.
const EnvControl = "GRACEX_CONTROL"
