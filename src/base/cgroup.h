/* cgroup: the limits that the kernel's control groups put on this process, version 1 or 2. A limit of any group
 * on the way from ours to the root counts; the smallest wins. Allocates nothing. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stddef.h>

/* Where to look; NULL: /proc/self/cgroup and /sys/fs/cgroup. Tests give other places. */
struct cgroup_place {
	const char *membership, *root;
};

double cgroup_cpus(const struct cgroup_place *at);        /* processors' worth of time, 0 when unlimited */
/* bytes to the limit, the page cache that can be dropped not counted as used; SIZE_MAX when unlimited */
size_t cgroup_memory_left(const struct cgroup_place *at);

#endif
