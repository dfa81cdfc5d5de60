/* cgroup: reads a process's membership ("0::/path" in version 2, "4:memory:/path" in version 1), then the limit files
 * of that group and of every group above it. A container often sees its own group mounted as the root while the
 * membership names the path outside; folders that do not exist are skipped, so the root's files are still found. */
#include "base/cgroup.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, FILE_BYTES = 8192 };

static const struct cgroup_place default_place = { "/proc/self/cgroup", "/sys/fs/cgroup" };

/* The file's beginning as a string; false when it cannot be read. Plain system calls: stdio would allocate. */
static bool file_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n, total = 0;
	while ((size_t)total < size - 1 && (n = read(fd, out + total, size - 1 - (size_t)total)) > 0)
		total += n;
	close(fd);
	out[total] = 0;
	return true;
}

/* Is `name` one of the comma-separated controllers? */
static bool has_controller(const char *list, size_t n, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i + len <= n; i++) {
		bool starts = i == 0 || list[i - 1] == ',', ends = i + len == n || list[i + len] == ',';
		if (starts && ends && memcmp(list + i, name, len) == 0)
			return true;
	}
	return false;
}

/* The group's path for a version 1 controller, or for version 2 with controller "". */
static bool membership_path(const struct cgroup_place *at, const char *controller, char out[PATH_BYTES])
{
	char text[FILE_BYTES];
	if (!file_text(at->membership, text, sizeof(text)))
		return false;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':');
		char *path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		size_t n = (size_t)(path - list - 1);
		if (controller[0] ? !has_controller(list + 1, n, controller) : n != 0)
			continue;
		snprintf(out, PATH_BYTES, "%s", path + 1);
		return true;
	}
	return false;
}

/* Calls see(ctx, folder) for the group's folder and every one above it. */
static void each_group(const struct cgroup_place *at, const char *controller, const char *mount,
                       void (*see)(void *ctx, const char *folder), void *ctx)
{
	char path[PATH_BYTES], folder[2 * PATH_BYTES];
	if (!membership_path(at, controller, path))
		return;
	for (;;) {
		size_t n = strlen(path);
		while (n && path[n - 1] == '/')
			path[--n] = 0;
		snprintf(folder, sizeof(folder), "%s%s%s", at->root, mount, path);
		see(ctx, folder);
		char *slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = 0;
	}
}

static bool folder_text(const char *folder, const char *name, char *out, size_t size)
{
	char path[2 * PATH_BYTES + 64];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return file_text(path, out, size);
}

/* One number from a file; "max" and what is no number give -1. */
static double folder_number(const char *folder, const char *name)
{
	char text[64], *end;
	if (!folder_text(folder, name, text, sizeof(text)))
		return -1;
	double x = strtod(text, &end);
	return end == text ? -1 : x;
}

static void see_cpus(void *ctx, const char *folder)
{
	double *cpus = ctx, quota = -1, period = -1;
	char text[128];
	if (folder_text(folder, "cpu.max", text, sizeof(text))) {
		if (sscanf(text, "%lf %lf", &quota, &period) != 2)
			return;
	} else {
		quota = folder_number(folder, "cpu.cfs_quota_us");
		period = folder_number(folder, "cpu.cfs_period_us");
	}
	if (quota > 0 && period > 0 && (*cpus == 0 || quota / period < *cpus))
		*cpus = quota / period;
}

double cgroup_cpus(const struct cgroup_place *at)
{
	double cpus = 0;
	if (!at)
		at = &default_place;
	each_group(at, "", "", see_cpus, &cpus);
	each_group(at, "cpu", "/cpu", see_cpus, &cpus);
	each_group(at, "cpu", "/cpu,cpuacct", see_cpus, &cpus);
	return cpus;
}

/* A field of memory.stat, 0 when absent. */
static double stat_field(const char *folder, const char *name)
{
	char text[FILE_BYTES];
	size_t n = strlen(name);
	if (!folder_text(folder, "memory.stat", text, sizeof(text)))
		return 0;
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, name, n) == 0 && line[n] == ' ')
			return strtod(line + n, NULL);
	return 0;
}

static void see_memory(void *ctx, const char *folder)
{
	size_t *left = ctx;
	double limit = folder_number(folder, "memory.max"), used = folder_number(folder, "memory.current");
	double cache = stat_field(folder, "inactive_file");
	if (limit < 0) {
		limit = folder_number(folder, "memory.limit_in_bytes");
		used = folder_number(folder, "memory.usage_in_bytes");
		cache = stat_field(folder, "total_inactive_file");
	}
	if (limit < 0 || limit >= 0x1p62) /* version 1 writes a huge number for "no limit" */
		return;
	used = used > cache ? used - cache : 0;
	double rest = limit > used ? limit - used : 0;
	if (rest < (double)*left)
		*left = (size_t)rest;
}

size_t cgroup_memory_left(const struct cgroup_place *at)
{
	size_t left = SIZE_MAX;
	if (!at)
		at = &default_place;
	each_group(at, "", "", see_memory, &left);
	each_group(at, "memory", "/memory", see_memory, &left);
	return left;
}
