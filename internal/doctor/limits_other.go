//go:build !linux

package doctor

func openFiles() (uint64, bool) { return 0, false }

func memoryLimit() (uint64, bool) { return 0, false }

func freeSpace(string) (uint64, bool) { return 0, false }
