/* device_cpu: the processor as a device: memory is the host's, a node is its op's forward, done when that returns. */
#include <string.h>

#include "base/mem.h"
#include "op/device.h"
#include "op/tape.h"

static int cpu_alloc(struct device *d, void **out, size_t bytes, const char *what, struct err *e)
{
	(void)d;
	return mem_map(out, bytes, what, e);
}

static void cpu_touch(struct device *d, void *p, size_t bytes)
{
	(void)d;
	mem_touch(p, bytes);
}

static void cpu_free(struct device *d, void *p, size_t bytes)
{
	(void)d;
	mem_unmap(p, bytes);
}

static void cpu_copy(struct device *d, void *to, const void *from, size_t bytes)
{
	(void)d;
	memcpy(to, from, bytes);
}

static void cpu_clear(struct device *d, void *p, size_t bytes)
{
	(void)d;
	memset(p, 0, bytes);
}

static void cpu_forward(struct device *d, struct run *r, const struct node *n)
{
	(void)d;
	n->op->forward(r, n);
}

static void cpu_sync(struct device *d) { (void)d; }

static const struct device_type cpu = {
	.name = "cpu",
	.host_memory = true,
	.alloc = cpu_alloc,
	.touch = cpu_touch,
	.free = cpu_free,
	.push = cpu_copy,
	.pull = cpu_copy,
	.copy = cpu_copy,
	.clear = cpu_clear,
	.forward = cpu_forward,
	.sync = cpu_sync,
};

struct device device_cpu(const struct kernels *k, struct pool *pool)
{
	return (struct device){ .type = &cpu, .kernels = k, .pool = pool };
}
