//go:build linux && (amd64 || arm64)

package poll

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// uring is an io_uring: a submission queue of requests and a completion queue of
// results, both shared with the kernel. With it, one system call writes to many
// sockets. The writes do not block, so every write has completed when send
// returns. After that, the kernel does not access the memory of the outputs.
//
// io_uring(7), io_uring_setup(2), io_uring_enter(2)
type uring struct {
	fd       int
	rings    []byte // memory of the heads and tails, of cqes and of the order of sqes
	requests []byte // memory of sqes
	sqes     []sqe
	cqes     []cqe
	sqHead   *uint32
	sqTail   *uint32
	cqHead   *uint32
	cqTail   *uint32
}

const (
	sysURingSetup = 425
	sysURingEnter = 426

	uringOffSQ      = 0
	uringOffSQEs    = 0x10000000
	uringSingleMmap = 1 << 0
	uringFastPoll   = 1 << 5 // newer than IORING_OP_SEND: a kernel that has it can also send
	uringGetEvents  = 1 << 0
	uringOpSend     = 26
)

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, wqFD uint32
	_                                                                  [3]uint32
	sq                                                                 struct {
		head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32
		_                                                           uint64
	}
	cq struct {
		head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32
		_                                                           uint64
	}
}

// sqe is struct io_uring_sqe, an entry of the submission queue.
type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64
	addr          uint64
	len           uint32
	msgFlags      uint32
	userData      uint64
	_             [3]uint64
}

// cqe is struct io_uring_cqe, an entry of the completion queue.
type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

// newURing returns a ring for n writes at a time. It returns an error if the
// kernel lacks io_uring or is too old, or if an administrator or a container
// forbids io_uring.
func newURing(n int) (*uring, error) {
	var p uringParams
	r, _, errno := syscall.Syscall(sysURingSetup, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("sse: io_uring_setup: %w", errno)
	}
	u := &uring{fd: int(r)}
	if need := uint32(uringSingleMmap | uringFastPoll); p.features&need != need {
		u.close()
		return nil, errors.New("sse: io_uring: the kernel is too old")
	}
	size := max(p.sq.array+4*p.sqEntries, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(cqe{})))
	var err error
	u.rings, err = u.mmap(uringOffSQ, int(size))
	if err == nil {
		u.requests, err = u.mmap(uringOffSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})))
	}
	if err != nil {
		u.close()
		return nil, err
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&u.rings[offset])) }
	u.sqHead, u.sqTail = at(p.sq.head), at(p.sq.tail)
	u.cqHead, u.cqTail = at(p.cq.head), at(p.cq.tail)
	u.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&u.requests[0])), p.sqEntries)
	u.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&u.rings[p.cq.cqes])), p.cqEntries)
	order := unsafe.Slice(at(p.sq.array), p.sqEntries)
	for i := range order {
		order[i] = uint32(i) // requests are submitted in the order of sqes
	}
	return u, nil
}

func (u *uring) mmap(offset int64, size int) ([]byte, error) {
	mem, err := syscall.Mmap(u.fd, offset, size, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_SHARED|syscall.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("sse: io_uring: mmap: %w", err)
	}
	return mem, nil
}

// send writes as much of each output as its socket has room for, and adds the
// number of bytes to the output's N. It stores an error in the output only if a
// second write might not fail with that error again. Otherwise it leaves the
// output unchanged, and the caller's own write finds the reason. send reports
// whether the ring can still be used.
func (u *uring) send(outs []*Output) bool {
	for len(outs) > 0 {
		n := min(len(outs), len(u.sqes))
		if !u.sendBatch(outs[:n]) {
			return false
		}
		outs = outs[n:]
	}
	return true
}

// sendBatch does the work of send for at most len(u.sqes) outputs.
func (u *uring) sendBatch(outs []*Output) bool {
	tail := *u.sqTail
	for i, out := range outs {
		data := out.Data[out.N:]
		u.sqes[(tail+uint32(i))%uint32(len(u.sqes))] = sqe{
			opcode:   uringOpSend,
			fd:       int32(out.FD),
			addr:     uint64(uintptr(unsafe.Pointer(unsafe.SliceData(data)))),
			len:      uint32(len(data)),
			msgFlags: syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL,
			userData: uint64(i),
		}
	}
	atomic.StoreUint32(u.sqTail, tail+uint32(len(outs)))
	defer runtime.KeepAlive(outs)
	for accepted, done := 0, 0; done < len(outs); {
		r, _, errno := syscall.Syscall6(sysURingEnter, uintptr(u.fd),
			uintptr(len(outs)-accepted), uintptr(len(outs)-done), uringGetEvents, 0, 0)
		if errno == 0 {
			accepted += int(r)
		}
		done += u.reap(outs)
		if errno == 0 || errno == syscall.EINTR || accepted > done {
			continue
		}
		// No write is in progress. Withdraw the requests that the kernel did not
		// accept, so that the next call does not submit them.
		atomic.StoreUint32(u.sqTail, atomic.LoadUint32(u.sqHead))
		return errno == syscall.EAGAIN || errno == syscall.EBUSY || errno == syscall.ENOMEM
	}
	return true
}

// reap takes the results from the completion queue and stores them in their
// outputs. It returns the number of results.
func (u *uring) reap(outs []*Output) (n int) {
	head := *u.cqHead
	for ; head != atomic.LoadUint32(u.cqTail); head++ {
		result := &u.cqes[head%uint32(len(u.cqes))]
		out := outs[result.userData]
		switch errno := syscall.Errno(max(0, -result.res)); errno {
		case 0:
			out.N += int(result.res)
		case syscall.EPIPE, syscall.ECONNRESET, syscall.ETIMEDOUT,
			syscall.EHOSTUNREACH, syscall.ENETUNREACH: // the kernel may report these only once
			out.Err = os.NewSyscallError("send", errno)
		}
		n++
	}
	atomic.StoreUint32(u.cqHead, head)
	return n
}

func (u *uring) close() {
	if u.requests != nil {
		_ = syscall.Munmap(u.requests)
	}
	if u.rings != nil {
		_ = syscall.Munmap(u.rings)
	}
	_ = syscall.Close(u.fd)
}
