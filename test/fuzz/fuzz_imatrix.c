/* fuzz_imatrix: any bytes as an importance matrix, of either form; every mean that is read is looked at and found by
 * its name. */
#include <math.h>

#include "base/err.h"
#include "format/imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imatrix m;
	struct err e = ERR_INIT;

	if (imatrix_parse(&m, data, size, "fuzz", &e) < 0)
		return 0;
	for (size_t i = 0; i < m.n; i++) {
		if (imatrix_find(&m, m.entry[i].name) != &m.entry[i])
			BUG("an entry that is not found");
		for (size_t k = 0; k < m.entry[i].n; k++)
			if (!isfinite(m.entry[i].mean[k]) || m.entry[i].mean[k] < 0)
				BUG("a mean of %g", (double)m.entry[i].mean[k]);
	}
	imatrix_close(&m);
	return 0;
}
