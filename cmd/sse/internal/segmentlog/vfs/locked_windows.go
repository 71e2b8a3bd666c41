package vfs

import (
	"errors"

	"golang.org/x/sys/windows"
)

// IsLocked reports whether this process or another one holds the lock of a file. It
// neither creates nor locks the file. If it cannot find out, it returns false.
func IsLocked(name string) bool {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return false
	}
	const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	handle, err := windows.CreateFile(path, windows.GENERIC_READ, shareAll, nil,
		windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err == nil {
		_ = windows.CloseHandle(handle) // it was not written
	}
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}
