/* fuzz: a byte that picks the kind, one that picks a class of transformers, then any bytes as a file of a tokenizer
 * that is no tokenizer.json: SentencePiece's, tiktoken's, BERT's, RWKV's. What is accepted encodes a text and gives it
 * back. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "token/tokenizer_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void use(const struct tokenizer *t)
{
	static const char text[] = "it's  12345 <s>\n\n\xe6\xbc\xa2 e\xcc\x81 aab <sep>the ";
	struct tokens ids = { 0 }, begins = { 0 }, ends = { 0 };
	struct buf back = BUF_INIT;
	struct err e = ERR_INIT;
	if (tokenizer_encode_spans(t, text, strlen(text), 0, &ids, &begins, &ends, &e) && !e.msg[0])
		BUG("refused without a sentence");
	for (size_t i = 0; i < ids.n && !e.msg[0]; i++)
		if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_size(t) || begins.id[i] < 0 ||
		    ends.id[i] < begins.id[i] || (size_t)ends.id[i] > strlen(text) ||
		    (i && begins.id[i] < begins.id[i - 1]))
			BUG("id %d from %d to %d", ids.id[i], begins.id[i], ends.id[i]);
	tokenizer_decode(t, ids.id, ids.n, false, &back);
	buf_release(&back);
	tokens_release(&ids);
	tokens_release(&begins);
	tokens_release(&ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct tokenizer *(*const open[])(const char *, json_t *,
	                                         struct err *) = { tokenizer_files_open, sentencepiece_open,
		                                                   tiktoken_open, vocab_txt_open, rwkv_open };
	static const char *const classes[] = { "", "LlamaTokenizer", "XLMRobertaTokenizer", "T5Tokenizer",
		                               "AlbertTokenizer" };
	struct err e = ERR_INIT;
	char path[64];
	int fd = n < 2 ? -1 : memfd_create("tokenizer", MFD_CLOEXEC);
	if (fd < 0)
		return 0;
	if (write(fd, data + 2, n - 2) == (ssize_t)(n - 2)) {
		json_t *config = json_pack("{s:s}", "tokenizer_class", classes[data[1] % ARRAY_LEN(classes)]);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		struct tokenizer *t = open[data[0] % ARRAY_LEN(open)](path, config, &e);
		if (!t && !e.msg[0])
			BUG("refused without a sentence");
		if (t)
			use(t);
		tokenizer_free(t);
		json_decref(config);
	}
	close(fd);
	return 0;
}
