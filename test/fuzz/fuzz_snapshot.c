/* fuzz: any bytes as a kept sequence, with the hash that they have, are one of this session's or are refused with a
 * sentence; what was read goes on. The bytes begin at the file's second line. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "infer/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAGIC "KUNGFU-SEQUENCE\n"
enum { CONTEXT = 40 };

static struct session *new_session(struct model *m)
{
	static struct device device;
	struct err e = ERR_INIT;
	struct session *s;

	device = device_cpu(kernels_get("ref", &e), pool_new(1));
	if (model_open(m, "test/golden/llama", &e) < 0 ||
	    session_new(&s, m, NULL, &device, &(struct session_size){ .n_ctx = CONTEXT }, &e) < 0)
		BUG("%s", e.msg);
	return s;
}

static void write_file(int fd, const uint8_t *data, size_t n)
{
	struct buf all = BUF_INIT;
	char hex[33];

	buf_adds(&all, MAGIC);
	buf_add(&all, data, n);
	hash_hex(all.data, all.len, hex);
	buf_add(&all, hex, 32);
	if (ftruncate(fd, 0) || pwrite(fd, all.data, all.len, 0) != (ssize_t)all.len)
		BUG("no file to write to");
	buf_release(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct model m;
	static struct session *s;
	static char path[64];
	static int fd = -1;
	struct err e = ERR_INIT;
	const float *logits;
	int32_t id = 5;

	if (!s) {
		s = new_session(&m);
		fd = memfd_create("sequence", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	write_file(fd, data, n);
	session_truncate(s, 0, 0);
	if (session_load(s, 0, path, &e) < 0) {
		if (!*e.msg || session_length(s, 0))
			BUG("refused without a word, or with %d tokens", session_length(s, 0));
	} else if (session_length(s, 0) < CONTEXT && session_feed(s, 0, &id, 1, &logits, &e) < 0) {
		BUG("what was read does not go on: %s", e.msg);
	}
	return 0;
}
