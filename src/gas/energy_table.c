/* energy_table: watts of one logical processor (a hardware thread; a cloud's vCPU), idle and busy, low, middle and high
 * of what is published.
 *
 * Servers: SPECpower_ssj2008 results as collected by Cloud Carbon Footprint (2007 to 2021; "avg. watts @ active idle"
 * and "@ 100%" divided by the server's threads; low and high are minimum and maximum of the generation, the middle is
 * the median, but for Xeon v2 to v4 and Scalable Cloud Carbon Footprint's coefficient of 2023, a mean over chips of all
 * sizes, where SPECpower has mostly the largest). They are watts at the wall, memory, fans and power supply included.
 * EPYC since the 9004 has no result there: TDP over threads of 9654 to 9965 (1.3 to 3.1 W) with 40 % for the rest of
 * the server. Desktops and laptops: TDP over threads from CodeCarbon's list, a package that takes 0.6 to 1.3 of its TDP
 * when busy and 0.08 to 0.35 idle. The spread between machines of one row is what the interval of an estimate comes
 * from; a name that fits no row has the spread of all. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gas/energy_parts.h"

/* Memory, a GB of what is installed: the middle is Cloud Carbon Footprint's coefficient (0.392 W, of Crucial's and
 * Micron's figures, 2021; CodeCarbon 2 took 0.375, 3 W for 8 GB), the ends are CodeCarbon 3's 5 W a DIMM (2025) with
 * DIMMs of 64 and of 8 GB. It is watts when in use; idle memory takes less. */
const double memory_watts[3] = { 0.08, 0.392, 0.63 };
const char *const memory_source = "Cloud Carbon Footprint 2021; CodeCarbon 3, 2025";

/* all of match must occur in the processor's name, in any case */
struct row { const char *match[3]; struct processor p; };

#define SPEC "SPECpower results 2007 to 2021, per thread"
#define TDP "TDP over threads"

/* More exact rows first. */
static const struct row rows[] = {
	{ { "EPYC 7", "1 " }, { { 0.61, 0.74, 1.61 }, { 2.09, 2.31, 4.34 }, "AMD EPYC 7001", SPEC } },
	{ { "EPYC 7", "2 " }, { { 0.28, 0.42, 0.79 }, { 1.48, 1.65, 1.99 }, "AMD EPYC 7002", SPEC } },
	{ { "EPYC 7", "3 " }, { { 0.30, 0.43, 0.65 }, { 1.77, 2.10, 2.33 }, "AMD EPYC 7003", SPEC } },
	{ { "EPYC 7", "B12" }, { { 0.28, 0.42, 0.79 }, { 1.48, 1.65, 1.99 }, "AMD EPYC 7002", SPEC } },
	{ { "EPYC 7", "B13" }, { { 0.30, 0.43, 0.65 }, { 1.77, 2.10, 2.33 }, "AMD EPYC 7003", SPEC } },
	{ { "EPYC 9" },
	  { { 0.25, 0.50, 1.60 }, { 1.30, 2.40, 4.40 }, "AMD EPYC 9004 or later", TDP ", 40 % for the server" } },
	{ { "EPYC" }, { { 0.25, 0.50, 1.61 }, { 1.30, 2.20, 4.40 }, "AMD EPYC of any generation", SPEC "; " TDP } },
	{ { "Xeon", "E3-", "v" }, { { 1.17, 2.00, 9.15 }, { 5.59, 7.02, 17.4 }, "Intel Xeon E3", SPEC } },
	{ { "Xeon", "v2" }, { { 1.30, 3.04, 9.15 }, { 5.41, 8.25, 17.4 }, "Intel Xeon v2", SPEC } },
	{ { "Xeon", "v3" }, { { 0.54, 1.90, 2.38 }, { 3.67, 6.01, 8.72 }, "Intel Xeon v3", SPEC } },
	{ { "Xeon", "v4" }, { { 0.46, 0.71, 0.90 }, { 2.74, 3.69, 3.76 }, "Intel Xeon v4", SPEC } },
	{ { "Xeon", "E-2" }, { { 0.83, 1.05, 1.67 }, { 3.33, 5.98, 7.76 }, "Intel Xeon E", SPEC } },
	{ { "Xeon" }, { { 0.34, 0.64, 3.17 }, { 2.92, 4.10, 9.00 }, "Intel Xeon Scalable", SPEC } },
	{ { "Ryzen" }, { { 0.08, 1.00, 3.50 }, { 0.60, 4.50, 13.0 }, "AMD Ryzen", TDP } },
	{ { "Threadripper" }, { { 0.20, 1.00, 3.00 }, { 1.60, 3.50, 9.00 }, "AMD Threadripper", TDP } },
	{ { "Intel", "Core" }, { { 0.08, 1.20, 6.00 }, { 0.60, 5.00, 16.0 }, "Intel Core", TDP } },
	{ { "Apple" }, { { 0.05, 0.40, 2.00 }, { 0.60, 3.00, 8.00 }, "Apple M", TDP } },
	{ { "Neoverse" },
	  { { 0.20, 0.47, 1.00 },
	    { 0.90, 1.69, 3.50 },
	    "Arm Neoverse",
	    "Cloud Carbon Footprint, which takes EPYC 7002's" } },
	{ { NULL },
	  { { 0.05, 0.90, 9.15 },
	    { 0.60, 4.00, 17.4 },
	    "a processor of no row of the table",
	    "the spread of all rows" } },
};

static bool fits(const struct row *r, const char *name)
{
	for (size_t i = 0; i < 3 && r->match[i]; i++)
		if (!strcasestr(name, r->match[i]))
			return false;
	return true;
}

const struct processor *processor_row(const char *name)
{
	char padded[128];

	snprintf(padded, sizeof(padded), "%.126s ", name);
	for (size_t i = 0;; i++)
		if (fits(&rows[i], padded))
			return &rows[i].p;
}
