"""Detection as a step of a Spark job: reads images, detects, counts classes in SQL.

    python examples/python/with_spark.py models/parcels/images [best.pt]
"""

import os
import sys

from pyspark.sql import SparkSession

from yolo9_rs.spark import SPARK_SCHEMA, detect_in_arrow


def main(folder: str, weights: str | None = None) -> None:
    # The Python of the workers, which has yolo9_rs.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("boxes").config("spark.sql.execution.arrow.maxRecordsPerBatch", 32)
    spark = builder.getOrCreate()
    images = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg").load(folder)
    images.mapInArrow(detect_in_arrow(weights, conf=0.4), SPARK_SCHEMA).createOrReplaceTempView("boxes")
    rows = spark.sql(
        "select found.name, count(*) as count from boxes lateral view explode(detections) as found "
        "where error is null group by found.name order by count desc"
    )
    for row in rows.collect():
        print(f"{row['name']}: {row['count']}")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
