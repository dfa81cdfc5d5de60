/* gas: limits as --max-gas takes them, and a run's entry as gas import reads it. */
#include <stdint.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct gas_limit limit;
	struct entry x;
	char *text = mem_strndup((const char *)data, n);

	gas_limit_parse(&limit, text, &e);
	json_t *j = jsonx_load((const char *)data, n, "input", &e);
	if (j && entry_from_json(&x, j, &mem, "input", &e) == 0)
		json_decref(entry_json(&x, true));
	json_decref(j);
	mem_free(text);
	arena_release(&mem);
	return 0;
}
