/* energy_ipmi: the server's own meter, asked through the kernel's IPMI driver without any tool: DCMI Get Power Reading
 * (DCMI 1.5, section 6.6.1). The device belongs to root as a rule; where it cannot be opened that is said. Where the
 * board also tells its power by ACPI (hwmon power_meter), that is used. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ipmi.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gas/energy_parts.h"

enum { NETFN_GROUP = 0x2c, GROUP_DCMI = 0xdc, GET_POWER_READING = 0x02, ANSWER_MS = 500 };

double dcmi_watts(const uint8_t *data, size_t n)
{
	/* completion code, group, watts now, lowest, highest, mean (16 bits each), time stamp (4), period (4), state:
	 * bit 6 is "active" */
	if (n < 19 || data[0] != 0 || data[1] != GROUP_DCMI || !(data[18] & 0x40))
		return -1;
	return data[2] | data[3] << 8;
}

static bool ipmi_read(struct energy *e, struct channel *c, double *watts)
{
	uint8_t request[] = { GROUP_DCMI, 1, 0, 0 }, answer[64];
	struct ipmi_system_interface_addr to = { .addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE,
		                                 .channel = IPMI_BMC_CHANNEL },
					  from;
	struct ipmi_req req = {
		.addr = (unsigned char *)&to, .addr_len = sizeof(to), .msgid = 1,
		.msg = { .netfn = NETFN_GROUP, .cmd = GET_POWER_READING, .data = request, .data_len = sizeof(request) },
	};
	struct ipmi_recv recv = { .addr = (unsigned char *)&from,
		                  .addr_len = sizeof(from),
		                  .msg = { .data = answer, .data_len = sizeof(answer) } };
	int fd = open(c->path, O_RDWR | O_CLOEXEC);

	(void)e;
	if (fd < 0)
		return false;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	bool good = ioctl(fd, IPMICTL_SEND_COMMAND, &req) == 0 && poll(&wait, 1, ANSWER_MS) == 1 &&
	            ioctl(fd, IPMICTL_RECEIVE_MSG_TRUNC, &recv) == 0;
	int why = errno;
	close(fd);
	errno = why;
	*watts = good ? dcmi_watts(answer, recv.msg.data_len) : -1;
	return *watts >= 0;
}

void energy_find_ipmi(struct energy *e)
{
	char path[256];
	double watts;

	energy_path(e, path, "dev/ipmi0");
	if (access(path, F_OK))
		return;
	struct channel probe = { 0 };
	snprintf(probe.path, sizeof(probe.path), "%s", path);
	errno = 0;
	if (!ipmi_read(e, &probe, &watts)) {
		energy_missing(e, "ipmi", "%s: %s", path,
		               errno ? strerror(errno) : "the board has no reading of power");
		return;
	}
	struct channel *c = energy_add(e, "ipmi dcmi", PART_MACHINE);
	if (!c)
		return;
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->is_power = true;
	c->read = ipmi_read;
	c->rank = 2;
	c->error = 0.05;
}
