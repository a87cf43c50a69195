// Package proctest runs programs for tests. [Start] starts one as the leader of a process group, and the end of the
// test ends every process of that group. A test waits for what they write, for the pid file, or for their end.
//
// A test binary can be the program, too:
//
//	func TestMain(m *testing.M) {
//		proctest.Play("APP_TEST_PROGRAM", func(name string) int { return programs[name]() })
//		os.Exit(proctest.Main(m))
//	}
package proctest
