// Package deployment holds the tests of what runs Recoup in containers: the
// Dockerfile, docker-compose.yml, and the files that are mounted there.
//
//	compose_test.go       the compose file is valid, and keeps its own rules
//	agree_test.go         ports, paths, users and names are the same in all files
//	provisioning_test.go  what Grafana is provisioned with
//	docker_test.go        the image, built and run by a real dockerd; RECOUP_DOCKER=1
//
// What no test here can do is pull images: the services beside the gateway are
// compared as text, never started.
package deployment
