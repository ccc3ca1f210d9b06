return require("allma.client").config()
