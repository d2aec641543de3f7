//go:build !unix

package soak

func giveWay(int) {}
