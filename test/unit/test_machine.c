/* What would break: a plan that believes a little memory taken fast where the rest must be asked of a virtual machine's
 * host, or that is slow where it need not be. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/memory_bandwidth.h"
#include "op/timing.h"

static void put(struct test *t, const char *folder, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char *path = mem_printf("%s/%s", folder, name);
	CHECK_MSG(t, io_mkdirs(folder, &e) == 0 && io_write(path, text, strlen(text), &e) == 0, "%s", e.msg);
	mem_free(path);
}

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

void test_machine(struct test *t)
{
	char *root = mem_printf("%s/machine", test_tmp()),
	     *device = mem_printf("%s/sys/bus/virtio/devices/virtio0", root);

	test_case(t, "without a balloon the rate that was seen counts");
	CHECK(t, near(memory_touch_seconds(1e9, 1e8, 0.01, root), 0.1));
	put(t, device, "device", "0x0002\n");
	put(t, device, "features", "000001000000\n");
	CHECK(t, near(memory_touch_seconds(1e9, 1e8, 0.01, root), 0.1));

	test_case(t, "a balloon that reports free pages: what was not touched is asked of the host");
	put(t, device, "device", "0x0005\n");
	CHECK(t, near(memory_touch_seconds(1e9, 1e8, 0.01, root), 0.01 + 0.9e9 / TIMING_SLOW_RATE));
	CHECK(t, near(memory_touch_seconds(0.5e8, 1e8, 0.01, root), 0.005));

	test_case(t, "what was slow already is not slower");
	CHECK(t, near(memory_touch_seconds(1e9, 1e8, 0.2, root), 2));

	test_case(t, "a balloon that does not");
	put(t, device, "features", "011000000000\n");
	CHECK(t, near(memory_touch_seconds(1e9, 1e8, 0.01, root), 0.1));
	mem_free(device);
	mem_free(root);
}
