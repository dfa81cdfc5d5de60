/* fuzz_safetensors: any bytes as a safetensors file; what is accepted covers the input to its last byte, and every
 * number of every tensor is read. */
#include <string.h>

#include "base/err.h"
#include "format/safetensors.h"
#include "read_tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct safetensors s;
	struct err e = ERR_INIT;
	size_t covered = 0;
	volatile uint8_t sum = 0;
	if (st_parse(&s, data, size, "input", &e) < 0) {
		if (!e.msg[0])
			BUG("refused without a sentence");
		return 0;
	}
	for (size_t i = 0; i < s.n_tensors; i++) {
		const struct st_tensor *t = st_find(&s, s.tensors[i].name);
		if (t != &s.tensors[i])
			BUG("a tensor that is not found by its name");
		size_t n = 1;
		for (int k = 0; k < t->n_dims; k++)
			n *= t->dim[k];
		read_tensor(t->dtype, t->data, n, t->bytes);
		covered += t->bytes;
	}
	for (size_t i = 0; i < s.n_meta; i++)
		sum = (uint8_t)(sum + strlen(s.meta[i].key) + strlen(s.meta[i].value));
	uint64_t header;
	memcpy(&header, data, sizeof(header)); /* little endian, as everywhere that this runs */
	if (covered + header + sizeof(header) != size)
		BUG("%zu bytes of tensors in a file of %zu", covered, size);
	st_close(&s);
	return 0;
}
