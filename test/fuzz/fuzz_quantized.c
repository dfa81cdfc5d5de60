/* fuzz_quantized: a byte that picks a quantization_config, one that picks the form, then any bytes as a folder's
 * weights, safetensors or torch.save's; what the matrices of GPTQ, AWQ and 8-bit floats become is read to the last
 * number. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/pytorch.h"
#include "format/quantized.h"
#include "read_tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const configs[] = {
	"{\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 4}}",
	"{\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 8, \"checkpoint_format\": \"gptq_v2\"}}",
	"{\"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 4}}",
	"{\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [4, 4]}}",
	"{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\"}}",
};

static void read_all(const struct source *s)
{
	struct source_tensor t, found;

	for (size_t i = 0; i < source_count(s); i++) {
		size_t n = 1;
		source_tensor(s, i, &t);
		if (source_find(s, t.name, &found) != 0 || found.data != t.data)
			BUG("a tensor that is not found by its name");
		for (int k = 0; k < t.n_dims; k++)
			n *= t.dim[k];
		read_tensor(t.dtype, t.data, n, t.bytes);
	}
}

static void open_folder(const char *path, const char *config, bool torch)
{
	struct safetensors shard;
	struct source s = { 0 };
	struct err e = ERR_INIT;

	if ((torch ? pytorch_open : st_open)(&shard, path, &e) < 0)
		return;
	s.path = arena_strdup(&s.mem, "folder");
	s.config = json_loads(config, 0, NULL);
	s.shards = &shard;
	s.n_shards = 1;
	if (quantized_open(&s, &e) == 0)
		read_all(&s);
	else if (!e.msg[0])
		BUG("refused without a sentence");
	source_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd = size < 2 ? -1 : memfd_create("weights", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	log_set(LOG_QUIET);
	if (write(fd, data + 2, size - 2) == (ssize_t)(size - 2)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		open_folder(path, configs[data[0] % ARRAY_LEN(configs)], data[1] & 1);
	}
	close(fd);
	return 0;
}
