/* fuzz: any bytes are a grammar in llama.cpp's form or are refused by a sentence; what its masks allow is of it. */
#include "grow_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf out = BUF_INIT;
	bool over;

	if (n <= 4096)
		grow_gbnf((const char *)data, n, data, n, &out, &over);
	buf_release(&out);
	return 0;
}
