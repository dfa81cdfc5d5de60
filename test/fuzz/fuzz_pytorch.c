/* fuzz_pytorch: any bytes as a file of torch.save; every number of every tensor that is accepted is read. */
#include <string.h>

#include "base/err.h"
#include "format/pytorch.h"
#include "read_tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct safetensors s;
	struct err e = ERR_INIT;

	if (pytorch_parse(&s, data, size, "input", &e) < 0) {
		if (!e.msg[0])
			BUG("refused without a sentence");
		return 0;
	}
	for (size_t i = 0; i < s.n_tensors; i++) {
		const struct st_tensor *t = st_find(&s, s.tensors[i].name);
		size_t n = 1;
		if (t != &s.tensors[i])
			BUG("a tensor that is not found by its name");
		for (int k = 0; k < t->n_dims; k++)
			n *= t->dim[k];
		read_tensor(t->dtype, t->data, n, t->bytes);
	}
	st_close(&s);
	return 0;
}
