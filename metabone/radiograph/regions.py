"""The six regions of a hand film whose epiphyses tell maturity."""

# Min and Kang 2018 fix region 2 (middle finger, last joint) and region 4 (middle finger, first
# joint) and name thumb, middle and ring finger; the other four are our reading.
REGION_NAMES = (
    "thumb, distal phalanx",
    "middle finger, distal phalanx",
    "ring finger, distal phalanx",
    "middle finger, proximal phalanx",
    "ring finger, proximal phalanx",
    "thumb, proximal phalanx",
)

REGION_SIZE = 64
