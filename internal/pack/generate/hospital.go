package main

func hospitalBodies(patients int) ([][]byte, error) { return nil, nil }
