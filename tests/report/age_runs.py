"""A run folder of bone ages with every optional part, from readings that are drawn."""

import json

import numpy as np
from PIL import Image

from metabone.evaluation.age_errors import age_bands, age_groups, median_baselines
from metabone.evaluation.conformal import repeated_coverage

FILMS = 240
CHANGES = (("none", 0.0, 0.0), ("rotation +20 degrees", 0.31, 9.4), ("inversion", 0.8, 40.2))


def write_age_run(folder):
    """Writes result.json, predictions and maps; returns the result."""
    rng = np.random.default_rng(0)
    months, sex = rng.uniform(12, 225, FILMS), rng.choice(["M", "F"], FILMS)
    patients = np.arange(FILMS) // 2
    (folder / "predictions").mkdir()
    (folder / "maps").mkdir()
    rows = []

    def add(arm, origin, view, films, predicted, sex_use="input", **more):
        name = f"{arm}-{origin}-{view}-{films}-{sex_use}".replace(" ", "_")
        np.savez(
            folder / "predictions" / f"{name}.npz",
            ids=np.array([f"film {i}" for i in range(FILMS)]),
            months=months,
            sex=sex,
            patients=patients,
            predicted=predicted,
        )
        told = (predicted, months, sex, patients)
        labels = {"arm": arm, "origin": origin, "view": view, "films": films, "sex": sex_use}
        counts = {"trainings": len(predicted), "test_films": FILMS}
        figures = {"groups": age_groups(*told), "bands": age_bands(*told)}
        rows.append(labels | counts | figures | more)

    said = median_baselines(months, sex, sex)
    for films in (50, 2000):
        add("median", "", "", films, said.median[None], "")
        add("median by sex", "", "", films, said.by_sex[None], "")
    for view, gain in (("squashed", 1.0), ("regions", 0.5)):
        for origin in ("random", "chest 0-20"):
            for films in (50, 2000):
                for arm, spread in (("all", 16), ("paced", 14)):
                    wide = spread * gain * (2.0 if films == 50 else 1.0)
                    noise = rng.normal(2, wide, (3, FILMS)) + rng.normal(0, 2, (3, 1))
                    more = {}
                    if (arm, origin, films) == ("paced", "chest 0-20", 2000):
                        off = np.abs(noise[0])
                        more["conformal"] = repeated_coverage(off, patients, sex, repeats=5)
                    if more and view == "regions":
                        more["robustness"] = [
                            {"change": name, "moved_12": far, "mean_move": move, "mae": 8 + move}
                            for name, far, move in CHANGES
                        ]
                        more["maps"] = [
                            {"file": f"maps/{which}.png", "caption": f"The {which} film, off by 2."}
                            for which in ("best", "median", "worst")
                        ]
                    add(arm, origin, view, films, months + noise, **more)
    for k, which in enumerate(("best", "median", "worst")):
        y, x = np.mgrid[:64, :96]
        grey = np.stack([x * 2, y * 3, np.full_like(x, 80 * k)], -1).astype(np.uint8)
        Image.fromarray(grey).save(folder / "maps" / f"{which}.png")
    result = {
        "experiment": "bone_age",
        "complete": True,
        "seconds": 100.0,
        "seed": 3,
        "data": [{"role": "hands, squashed", "kind": "real", "source": "rsna:films", "count": 780}],
        "rows": rows,
    }
    (folder / "result.json").write_text(json.dumps(result))
    return result
