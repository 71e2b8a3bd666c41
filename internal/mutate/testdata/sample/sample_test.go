package sample

import "testing"

func TestSum(t *testing.T) {
	if got := Sum(1, 2, 5, -1); got != 3 {
		t.Errorf("Sum is %d, want 3", got)
	}
}

func TestCheck(t *testing.T) {
	if Check("a") != nil || Check("x") == nil {
		t.Error("Check is wrong")
	}
}

func TestMax(t *testing.T) {
	if got := Max(1, true, 3, 2); got != 3 {
		t.Errorf("Max is %d, want 3", got)
	}
}

func TestGuard(t *testing.T) {
	if Guard(func() {}) || !Guard(func() { panic(1) }) {
		t.Error("Guard is wrong")
	}
}

func TestCounter(t *testing.T) {
	var c counter
	if c.add(1); c.n != 1 || c.name() != "counter" {
		t.Errorf("the counter is %+v", c)
	}
}
